package netload

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ModeServe is a Request to an agent only: a server on Addr, until the agent ends.
const ModeServe = "serve"

// Agent reads requests, one JSON text a line, and answers each with a Reply, until
// its input ends. So whoever holds the two ends of a container's standard streams
// works the network from inside it, without a start for each request.
func Agent(ctx context.Context, in io.Reader, out io.Writer) error {
	var servers []*Server
	defer func() {
		for _, s := range servers {
			s.Close()
		}
	}()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var request Request
		var reply Reply
		err := json.Unmarshal(lines.Bytes(), &request)
		switch {
		case err != nil:
		case request.Mode == ModeServe:
			var s *Server
			if s, err = Listen(request.Addr); err == nil {
				servers = append(servers, s)
				reply.Port = s.Port()
			}
		default:
			reply.Result, err = Run(ctx, request)
		}
		if err != nil {
			reply.Error = err.Error()
		}
		data, err := json.Marshal(reply)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s\n", data); err != nil {
			return err
		}
	}
	return lines.Err()
}

// Reply is an agent's.
type Reply struct {
	Result *Result `json:",omitempty"`
	Port   int     `json:",omitempty"` // of ModeServe
	Error  string  `json:",omitempty"`
}

// Remote is an agent at the other end of two streams. It does one request at a time.
type Remote struct {
	in  io.Writer
	out *bufio.Reader
}

// NewRemote takes an agent's standard input and output.
func NewRemote(in io.Writer, out io.Reader) *Remote { return &Remote{in, bufio.NewReader(out)} }

// Do has the agent work on a request.
func (r *Remote) Do(request Request) (*Reply, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	if _, err := r.in.Write(append(data, '\n')); err != nil {
		return nil, fmt.Errorf("asking the agent: %w", err)
	}
	line, err := r.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("waiting for the agent: %w", err)
	}
	var reply Reply
	if err := json.Unmarshal(line, &reply); err != nil {
		return nil, err
	}
	if reply.Error != "" {
		return nil, errors.New(reply.Error)
	}
	return &reply, nil
}
