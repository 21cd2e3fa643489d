// The peer of bench/runtime.c on Go's runtime, loop for loop: whoever changes
// one changes both.  Usage: gobench [NAME [RUNS]]; prints "name value" lines.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

var runs = 5

func report(name string, n int, f func()) {
	best := time.Duration(1 << 62)
	for i := 0; i < runs; i++ {
		t := time.Now()
		f()
		if d := time.Since(t); d < best {
			best = d
		}
	}
	fmt.Printf("%s %.1f\n", name, float64(best.Nanoseconds())/float64(n))
}

func skynet(c chan int64, num int64, size, div int64) {
	if size == 1 {
		c <- num
		return
	}
	rc := make(chan int64, div)
	for i := int64(0); i < div; i++ {
		go skynet(rc, num+i*(size/div), size/div, div)
	}
	var s int64
	for i := int64(0); i < div; i++ {
		s += <-rc
	}
	c <- s
}

func main() {
	only := ""
	if len(os.Args) > 1 {
		only = os.Args[1]
	}
	if len(os.Args) > 2 {
		fmt.Sscan(os.Args[2], &runs)
	}
	want := func(s string) bool { return only == "" || only == s }
	const N = 2000000
	if want("yield") {
		report("yield", N, func() {
			var wg sync.WaitGroup
			wg.Add(2)
			for k := 0; k < 2; k++ {
				go func() {
					for i := 0; i < N/2; i++ {
						runtime.Gosched()
					}
					wg.Done()
				}()
			}
			wg.Wait()
		})
	}
	if want("spawn") {
		report("spawn", 1000000, func() {
			var wg sync.WaitGroup
			for i := 0; i < 1000000; i++ {
				wg.Add(1)
				go wg.Done()
			}
			wg.Wait()
		})
	}
	if want("chan_unbuf") {
		report("chan_unbuf", N, func() {
			a, b := make(chan int), make(chan int)
			go func() {
				for v := range a {
					b <- v
				}
				close(b)
			}()
			for i := 0; i < N/2; i++ {
				a <- i
				<-b
			}
			close(a)
		})
	}
	if want("chan_buf128") {
		report("chan_buf128", N, func() {
			a := make(chan int, 128)
			go func() {
				for i := 0; i < N; i++ {
					a <- i
				}
				close(a)
			}()
			for range a {
			}
		})
	}
	if want("select4") {
		report("select4", N, func() {
			var c [4]chan int
			for i := range c {
				c[i] = make(chan int)
			}
			go func() {
				for i := 0; i < N; i++ {
					c[i&3] <- i
				}
				for i := range c {
					close(c[i])
				}
			}()
			for i := 0; i < N; i++ {
				select {
				case <-c[0]:
				case <-c[1]:
				case <-c[2]:
				case <-c[3]:
				}
			}
		})
	}
	if want("mutex") {
		report("mutex", N, func() {
			var mu sync.Mutex
			var wg sync.WaitGroup
			x := 0
			for k := 0; k < 8; k++ {
				wg.Add(1)
				go func() {
					for i := 0; i < N/8; i++ {
						mu.Lock()
						x++
						mu.Unlock()
					}
					wg.Done()
				}()
			}
			wg.Wait()
		})
	}
	if want("timer") {
		report("timer_startstop", N, func() {
			for i := 0; i < N; i++ {
				t := time.NewTimer(time.Hour)
				t.Stop()
			}
		})
	}
	if want("skynet") {
		report("skynet1m", 1111111, func() {
			c := make(chan int64)
			go skynet(c, 0, 1000000, 10)
			if <-c != 499999500000 {
				panic("skynet")
			}
		})
	}
	if want("parked") {
		const M = 1000000
		before := rss()
		stop := make(chan struct{})
		var wg, up sync.WaitGroup
		for i := 0; i < M; i++ {
			wg.Add(1)
			up.Add(1)
			go func() { up.Done(); <-stop; wg.Done() }()
		}
		up.Wait()
		fmt.Printf("parked_bytes %.0f\n", float64(rss()-before)/M)
		close(stop)
		wg.Wait()
	}
}

func rss() int64 {
	b, _ := os.ReadFile("/proc/self/statm")
	var a, r int64
	fmt.Sscan(string(b), &a, &r)
	return r * 4096
}
