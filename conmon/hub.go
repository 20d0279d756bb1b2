package conmon

import (
	"io"
	"os"
	"sync"

	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/wire"
)

// hub spreads what one process writes: to the log and to every attached client. A
// client that does not read holds the process up, as with docker; one that has
// left is forgotten.
type hub struct {
	log     *logWriter // nil: none is kept
	capture *capture   // of a health check
	mu      sync.Mutex
	clients map[*wire.Conn]Attach
	pumps   sync.WaitGroup
}

// stream says where a pump's bytes go.
type stream struct {
	kind wire.Kind
	name string // in the log
}

var (
	stdoutStream = stream{kindStdout, "stdout"}
	stderrStream = stream{kindStderr, "stderr"}
)

// add attaches a client for what comes from now on.
func (h *hub) add(c *wire.Conn, a Attach) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.clients == nil {
		h.clients = map[*wire.Conn]Attach{}
	}
	h.clients[c] = a
}

// welcome tells a client that it is attached, and adds it: it hears that first, and all that
// comes of its own words.
func (h *hub) welcome(c *wire.Conn, a Attach, pid int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := c.Send(kindStarted, Started{pid}); err != nil {
		return err
	}
	if h.clients == nil {
		h.clients = map[*wire.Conn]Attach{}
	}
	h.clients[c] = a
	return nil
}

func (h *hub) remove(c *wire.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c)
}

// pump reads one stream to its end, in a goroutine of its own, and then closes ended.
func (h *hub) pump(o *output) (ended <-chan struct{}) {
	done := make(chan struct{})
	h.pumps.Go(func() {
		defer close(done)
		buffer := make([]byte, wire.MaxData)
		from := oci.ConsoleReader{Master: o.from} // a pipe never says EIO
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				o.taken.Add(int64(n))
				h.spread(o.to, buffer[:n])
			}
			if err != nil {
				return
			}
		}
	})
	return done
}

func (h *hub) spread(to stream, data []byte) {
	if h.log != nil {
		h.log.write(to.name, data)
	}
	if h.capture != nil {
		h.capture.write(data)
	}
	h.mu.Lock()
	var listening [4]*wire.Conn
	targets := listening[:0]
	for c, a := range h.clients {
		if to.kind == kindStdout && a.Stdout || to.kind == kindStderr && a.Stderr {
			targets = append(targets, c)
		}
	}
	h.mu.Unlock()
	for _, c := range targets {
		if c.SendData(to.kind, data) != nil {
			h.remove(c)
		}
	}
}

// drained returns once every stream has ended and its last bytes were spread.
func (h *hub) drained() { h.pumps.Wait() }

// input is the writing end of a process's standard input.
type input struct {
	mu   sync.Mutex
	file *os.File // nil: closed
}

func (in *input) write(data []byte) {
	in.mu.Lock()
	file := in.file
	in.mu.Unlock()
	if file == nil {
		return
	}
	if _, err := file.Write(data); err != nil && err != io.ErrShortWrite {
		in.close() // nobody reads any more
	}
}

func (in *input) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.file != nil {
		in.file.Close()
		in.file = nil
	}
}
