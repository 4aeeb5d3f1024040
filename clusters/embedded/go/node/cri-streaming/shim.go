package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

const packet = 1 << 17

type message map[string]any

// shim is a connection to the process that holds a container: one request and what becomes of it.
type shim struct{ *net.UnixConn }

// dial reaches a socket by its folder's descriptor, since a path may be longer than a socket's address.
func dial(path string) (*shim, error) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	short := fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), filepath.Base(path))
	connection, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: short, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("the container's shim does not answer: %w", err)
	}
	return &shim{connection}, nil
}

func (s *shim) send(asked message, files []*os.File) error {
	text, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	descriptors := make([]int, len(files))
	for index, file := range files {
		descriptors[index] = int(file.Fd())
	}
	_, _, err = s.WriteMsgUnix(text, unix.UnixRights(descriptors...), nil)
	return err
}

// exit waits for the program's end and gives its exit code.
func (s *shim) exit() (int, error) {
	buffer := make([]byte, packet)
	count, err := s.Read(buffer)
	if err != nil {
		return 0, fmt.Errorf("the container's shim is gone: %w", err)
	}
	var answer struct {
		Exit  int
		Error string
	}
	if err := json.Unmarshal(buffer[:count], &answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, errors.New(answer.Error)
	}
	return answer.Exit, nil
}

// tell sends a request whose answer does not matter.
func tell(path string, asked message) {
	connection, err := dial(path)
	if err != nil {
		return
	}
	defer connection.Close()
	if connection.send(asked, nil) == nil {
		connection.Read(make([]byte, packet))
	}
}

// pipes gives a program's three ends, and copies between ours and the streams; a stream that is nil leads nowhere.
func pipes(in io.Reader, out, errs io.Writer, copies *sync.WaitGroup) ([]*os.File, error) {
	var theirs []*os.File
	for number, stream := range []any{in, out, errs} {
		end, err := pipe(number, stream, copies)
		if err != nil {
			closeAll(theirs)
			return nil, err
		}
		theirs = append(theirs, end)
	}
	return theirs, nil
}

// wanted is pipes without those that lead nowhere.
func wanted(in io.Reader, out, errs io.Writer, copies *sync.WaitGroup) ([]*os.File, error) {
	var theirs []*os.File
	for number, stream := range []any{in, out, errs} {
		if stream == nil {
			continue
		}
		end, err := pipe(number, stream, copies)
		if err != nil {
			closeAll(theirs)
			return nil, err
		}
		theirs = append(theirs, end)
	}
	return theirs, nil
}

func pipe(number int, stream any, copies *sync.WaitGroup) (*os.File, error) {
	if stream == nil {
		return os.OpenFile(os.DevNull, os.O_RDWR, 0)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if number == 0 {
		go func() {
			io.Copy(writer, stream.(io.Reader))
			writer.Close()
		}()
		return reader, nil
	}
	copies.Add(1)
	go func() {
		defer copies.Done()
		defer reader.Close()
		io.Copy(stream.(io.Writer), reader)
	}()
	return writer, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// socketPair gives a connection and the file of its other end, over which a terminal will come.
func socketPair() (*net.UnixConn, *os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "console"), os.NewFile(uintptr(pair[1]), "console")
	defer ours.Close()
	connection, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return connection.(*net.UnixConn), theirs, nil
}

func receiveFile(connection *net.UnixConn) (*os.File, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, count, _, _, err := connection.ReadMsgUnix(make([]byte, 1), control)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:count])
	if err != nil || len(messages) == 0 {
		return nil, errors.Join(errors.New("no terminal was sent"), err)
	}
	descriptors, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	// Not blocking, so that closing the file ends a read.
	if err := unix.SetNonblock(descriptors[0], true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(descriptors[0]), "terminal"), nil
}
