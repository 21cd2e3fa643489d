// The peer of examples/http_proxy on Go's ReverseProxy, with as many idle connections to the
// upstream as it wants.  Usage: goproxy ADDRESS:PORT UPSTREAM-URL
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	upstream, err := url.Parse(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 1024
	transport.Proxy = nil
	transport.DisableCompression = true
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	proxy.Transport = transport
	log.Fatal(http.ListenAndServe(os.Args[1], proxy))
}
