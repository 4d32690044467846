// The driver of gVisor's netstack: see ../README.md for how it is configured, and why. The command line is that of every
// driver:
//
//	gvisor-driver [-m MTU] [-c] engine bulk|request|connect SECONDS [IDLE]
//	gvisor-driver -i IFACE -a ADDR/LEN send|receive ADDR:PORT SECONDS [FLOWS]
//	                                   request ADDR:PORT SIZE SECONDS
//	                                   connect ADDR:PORT SECONDS
//
// Its connections are used as any Go program would: by goroutines that block.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

// The garbage collector may let the heap grow to five times what is in use: collecting less often was faster.
const gcPercent = 400

// words are what is left of the command line.
type words []string

func (w *words) next(what string) string {
	if len(*w) == 0 {
		fail(fmt.Errorf("%s is missing", what))
	}
	word := (*w)[0]
	*w = (*w)[1:]
	return word
}

func (w *words) number(what string) int {
	word := w.next(what)
	value, err := strconv.Atoi(word)
	if err != nil || value < 0 {
		fail(fmt.Errorf("%s: not %s", word, what))
	}
	return value
}

func (w *words) optional(what string, otherwise int) int {
	if len(*w) == 0 {
		return otherwise
	}
	return w.number(what)
}

func (w *words) duration() time.Duration {
	word := w.next("a number of seconds")
	seconds, err := strconv.ParseFloat(word, 64)
	if err != nil || !(seconds >= 0 && seconds < 1e9) {
		fail(fmt.Errorf("%s: not a number of seconds", word))
	}
	return time.Duration(seconds * float64(time.Second))
}

func (w *words) end() {
	if len(*w) > 0 {
		fail(fmt.Errorf("%s: one word too many", (*w)[0]))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	debug.SetGCPercent(gcPercent)
	outcome, err := run(words(os.Args[1:]))
	if err != nil {
		fail(err)
	}
	fmt.Println(outcome)
}

func run(w words) (*outcome, error) {
	conditions := conditions{}
	var name, address string
	for {
		word := w.next("a verb")
		switch word {
		case "-m":
			conditions.mtu = uint32(w.number("an MTU"))
			continue
		case "-c":
			conditions.checksums = true
			continue
		case "-i":
			name = w.next("an interface")
			continue
		case "-a":
			address = w.next("ADDR/LEN")
			continue
		case "engine":
			load, duration := w.next("a load"), w.duration()
			idle := w.optional("a number of connections", 0)
			w.end()
			return engine(conditions, load, duration, idle)
		}
		if name == "" || address == "" {
			return nil, fmt.Errorf("-i IFACE and -a ADDR/LEN are missing")
		}
		ip, network, err := net.ParseCIDR(address)
		if err != nil {
			return nil, err
		}
		peer, err := net.ResolveTCPAddr("tcp4", w.next("ADDR:PORT"))
		if err != nil {
			return nil, err
		}
		host, err := onInterface(name, ip.To4(), network.Mask)
		if err != nil {
			return nil, err
		}
		defer host.close()
		switch word {
		case "send", "receive":
			duration, flows := w.duration(), w.optional("a number of flows", 1)
			w.end()
			return bulk(host, peer, word == "send", duration, flows)
		case "request":
			size, duration := w.number("a size"), w.duration()
			w.end()
			return request(host, peer, size, duration)
		case "connect":
			duration := w.duration()
			w.end()
			return connect(host, peer, duration)
		}
		return nil, fmt.Errorf("%s: not a verb", word)
	}
}
