// Carries kubectl's exec, attach and port-forward for a container runtime that is not written in Go.
//
// usage: cri-streaming CONTROL ADDRESS
//
// CONTROL is a Unix socket on which the runtime asks for URLs; under ADDRESS, host:port, kubelets are served these URLs.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
)

// request is what the runtime tells about one stream to be.
type request struct {
	// ID of the container or sandbox.
	ID string
	// Shim is the path of the socket that the container's shim listens on.
	Shim string
	// Network is the file of the sandbox's network namespace.
	Network string
	Cmd     []string
	TTY     bool
	Stdin   bool
	Stdout  bool
	Stderr  bool
	Ports   []int32
}

// place is where a stream leads; it travels through the streaming library as the name of a container or sandbox.
type place struct {
	ID, Shim, Network string
}

func (p place) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // three strings
	}
	return string(text)
}

func parsePlace(text string) (place, error) {
	var found place
	err := json.Unmarshal([]byte(text), &found)
	return found, err
}

func main() {
	if len(os.Args) != 3 {
		log.Fatalf("usage: %s CONTROL ADDRESS", os.Args[0])
	}
	config := streaming.DefaultConfig
	config.Addr = os.Args[2]
	server, err := streaming.NewServer(config, runtime{})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(server.Start(true)) }()
	control, err := listen(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(control, routes(server)))
}

func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	// From its folder: a socket's address has at most 107 characters.
	if err := os.Chdir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return net.Listen("unix", filepath.Base(path))
}

func routes(server streaming.Server) http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("/exec", answer(func(r request) (string, error) {
		found, err := server.GetExec(&runtimeapi.ExecRequest{
			ContainerId: place{ID: r.ID, Shim: r.Shim}.String(),
			Cmd:         r.Cmd, Tty: r.TTY, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		})
		return found.GetUrl(), err
	}))
	routes.HandleFunc("/attach", answer(func(r request) (string, error) {
		found, err := server.GetAttach(&runtimeapi.AttachRequest{
			ContainerId: place{ID: r.ID, Shim: r.Shim}.String(),
			Tty:         r.TTY, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		})
		return found.GetUrl(), err
	}))
	routes.HandleFunc("/portforward", answer(func(r request) (string, error) {
		found, err := server.GetPortForward(&runtimeapi.PortForwardRequest{
			PodSandboxId: place{ID: r.ID, Network: r.Network}.String(), Port: r.Ports,
		})
		return found.GetUrl(), err
	}))
	return routes
}

func answer(call func(request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var asked request
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		url, err := call(asked)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, url)
	}
}
