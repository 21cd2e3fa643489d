// The peer of examples/http_echo on Go's net/http: GET / answers 13 bytes,
// POST /echo answers the request's body.  Usage: gohttp ADDRESS:PORT
package main

import (
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

func main() {
	http.HandleFunc("/", hello)
	http.HandleFunc("/echo", echo)
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
