// The peer of examples/http_echo and bench/http on Go's net/http: GET / and /users/... answer
// 13 bytes, POST /echo answers the request's body, /block blocks for 50 ms in a system call that
// Go's runtime is told of as of any other, and below /files/ lies a directory.
// Usage: gohttp ADDRESS:PORT DIRECTORY [CHAIN KEY]
//
// net/http's server needs no tuning by its documentation: a goroutine for each connection,
// GOMAXPROCS threads that run them (pkg.go.dev/runtime), and the collector's defaults, which
// tip.golang.org/doc/gc-guide advises to keep unless memory is known to be free.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"syscall"
	"time"
)

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "Hello, World!")
}

// The body is read whole before the answer begins: after that, net/http drops
// what it has not read.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Write(body)
}

func block(w http.ResponseWriter, r *http.Request) {
	pause := syscall.NsecToTimespec(int64(50 * time.Millisecond))
	syscall.Nanosleep(&pause, nil)
	hello(w, r)
}

const otherRoutes = 44

func main() {
	http.HandleFunc("/", hello)
	http.HandleFunc("/users/", hello)
	for i := 0; i < otherRoutes; i++ {
		http.HandleFunc(fmt.Sprintf("/api/%d/", i), hello)
	}
	http.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(os.Args[2]))))
	http.HandleFunc("/echo", echo)
	http.HandleFunc("/block", block)
	if len(os.Args) > 3 {
		log.Fatal(http.ListenAndServeTLS(os.Args[1], os.Args[3], os.Args[4], nil))
	}
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
