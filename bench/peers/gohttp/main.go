// The peer of examples/http_echo and bench/http on Go's net/http: GET / and /users/... answer
// 13 bytes, POST /echo answers the request's body, and below /files/ lies a directory.
// Usage: gohttp ADDRESS:PORT DIRECTORY
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
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

const otherRoutes = 44

func main() {
	http.HandleFunc("/", hello)
	http.HandleFunc("/users/", hello)
	for i := 0; i < otherRoutes; i++ {
		http.HandleFunc(fmt.Sprintf("/api/%d/", i), hello)
	}
	http.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir(os.Args[2]))))
	http.HandleFunc("/echo", echo)
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
