package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	goruntime "runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// runtime does what the streaming library asks for, with the help of shims.
type runtime struct{}

// Exec runs cmd in the container; its exit code is the error's.
func (runtime) Exec(ctx context.Context, id string, cmd []string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	at, err := parsePlace(id)
	if err != nil {
		return err
	}
	shim, err := dial(at.Shim)
	if err != nil {
		return err
	}
	defer shim.Close()
	stop := context.AfterFunc(ctx, func() { shim.Close() })
	defer stop()
	asked := message{"op": "exec", "container": at.ID, "argv": cmd, "tty": tty}
	if tty {
		return execOnTerminal(shim, asked, in, out, resize)
	}
	return execOnPipes(shim, asked, in, out, errs)
}

func execOnPipes(shim *shim, asked message, in io.Reader, out, errs io.Writer) error {
	var copies sync.WaitGroup
	theirs, err := pipes(in, out, errs, &copies)
	if err != nil {
		return err
	}
	err = shim.send(asked, theirs)
	closeAll(theirs)
	if err != nil {
		return err
	}
	code, err := shim.exit()
	if err != nil {
		return err
	}
	copies.Wait()
	return exitError(code)
}

func execOnTerminal(shim *shim, asked message, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	console, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer console.Close()
	err = shim.send(asked, []*os.File{theirs})
	theirs.Close()
	if err != nil {
		return err
	}
	terminal, err := receiveFile(console)
	if err != nil {
		// The program was not started: the shim says why.
		if _, err := shim.exit(); err != nil {
			return err
		}
		return err
	}
	defer terminal.Close()
	go followSize(terminal, resize)
	if in != nil {
		go io.Copy(terminal, in)
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		io.Copy(out, terminal) // ends with an error when the terminal's last user is gone: that is its end of file
	}()
	code, err := shim.exit()
	if err != nil {
		return err
	}
	<-copied
	return exitError(code)
}

func followSize(terminal *os.File, resize <-chan remotecommand.TerminalSize) {
	for size := range resize {
		unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	}
}

// Attach shows what the container's first process writes, and gives it what is typed, until one of the two ends.
func (runtime) Attach(ctx context.Context, id string, in io.Reader, out, errs io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	at, err := parsePlace(id)
	if err != nil {
		return err
	}
	shim, err := dial(at.Shim)
	if err != nil {
		return err
	}
	defer shim.Close()
	stop := context.AfterFunc(ctx, func() { shim.Close() })
	defer stop()
	go func() {
		for size := range resize {
			tell(at.Shim, message{"op": "resize", "container": at.ID, "rows": size.Height, "columns": size.Width})
		}
	}()
	if tty {
		errs = nil
	}
	var copies sync.WaitGroup
	theirs, err := wanted(in, out, errs, &copies)
	if err != nil {
		return err
	}
	asked := message{"op": "attach", "container": at.ID, "stdin": in != nil, "stdout": out != nil, "stderr": errs != nil}
	err = shim.send(asked, theirs)
	closeAll(theirs)
	if err != nil {
		return err
	}
	if _, err := shim.exit(); err != nil {
		return err
	}
	copies.Wait()
	return nil
}

// PortForward connects stream to a port of the sandbox's loopback.
func (runtime) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	at, err := parsePlace(id)
	if err != nil {
		return err
	}
	connection, err := dialInside(at.Network, strconv.Itoa(int(port)))
	if err != nil {
		return fmt.Errorf("failed to connect to localhost:%d inside the pod: %w", port, err)
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		io.Copy(connection, stream)
		connection.CloseWrite()
	}()
	_, err = io.Copy(stream, connection)
	stream.Close()
	<-sent
	return err
}

// dialInside connects to port in another network namespace; the thread that goes there is never used again.
func dialInside(network, port string) (*net.TCPConn, error) {
	type result struct {
		connection net.Conn
		err        error
	}
	done := make(chan result)
	go func() {
		goruntime.LockOSThread() // not unlocked: the thread ends with this goroutine
		file, err := os.Open(network)
		if err == nil {
			defer file.Close()
			err = unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			done <- result{nil, err}
			return
		}
		connection, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			if second, secondErr := net.Dial("tcp6", net.JoinHostPort("::1", port)); secondErr == nil {
				connection, err = second, nil
			}
		}
		done <- result{connection, err}
	}()
	found := <-done
	if found.err != nil {
		return nil, found.err
	}
	return found.connection.(*net.TCPConn), nil
}

func exitError(code int) error {
	if code == 0 {
		return nil
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: code}
}
