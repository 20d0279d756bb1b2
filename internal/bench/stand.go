package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/skiff-containers/skiff/internal/netload"
)

// route runs a request whose Addr has only a port, or none, over one way.
type route func(netload.Request) (*netload.Result, error)

// stand is a contender's network while it is measured: one or two agents in
// containers, and the ways between them and the host. A way that it has not is nil.
type stand struct {
	name    string
	out     route // container → host
	in      route // host → published port, by the host's loopback address
	own     route // host → published port, by an address of the host's own
	between route // container → container
	// helpers are the commands that carry the traffic outside of the kernel, by the
	// base name of argv[0]; those count that began while the stand was set up.
	helpers      []string
	began, ready time.Duration // since boot
	agents       []*agent
	undo         []func() error
}

func (s *stand) helps(p process) bool { return slices.ContainsFunc(s.helpers, p.is) }

// containerPort is where an agent in a container serves.
const containerPort = 8080

// agent is a process at the other end of two pipes (netload.Agent).
type agent struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	talk   *os.File
	remote *netload.Remote
	port   int // on which it serves
}

// startLimit bounds the time from the start of an agent to its first answer.
const startLimit = 30 * time.Second

// launch starts a tool's command that ends in an agent, and has it serve.
func (s *stand) launch(env []string, dir string, argv ...string) (*agent, error) {
	return s.launchIn(&syscall.SysProcAttr{}, containerPort, env, dir, argv...)
}

func (s *stand) launchIn(attr *syscall.SysProcAttr, port int, env []string, dir string, argv ...string) (*agent, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir = env, dir
	attr.Setpgid = true // what is typed at the terminal is for the bench
	cmd.SysProcAttr = attr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	talk, err := os.CreateTemp("", "agent-")
	if err != nil {
		return nil, err
	}
	os.Remove(talk.Name())
	cmd.Stderr = talk
	if err := cmd.Start(); err != nil {
		talk.Close()
		return nil, err
	}
	a := &agent{cmd: cmd, in: in, talk: talk, remote: netload.NewRemote(in, out)}
	s.agents = append(s.agents, a)
	impatience := time.AfterFunc(startLimit, func() { cmd.Process.Kill() })
	defer impatience.Stop()
	served, err := a.remote.Do(netload.Request{Mode: netload.ModeServe, Addr: ":" + strconv.Itoa(port)})
	if err != nil {
		return nil, fmt.Errorf("starting %q: %w: %s", argv, err, a.words())
	}
	a.port = served.Port
	return a, nil
}

// words is the end of what the agent's command wrote to stderr.
func (a *agent) words() string {
	data := make([]byte, 2000)
	size, _ := a.talk.Seek(0, io.SeekEnd)
	n, _ := a.talk.ReadAt(data, max(size-int64(len(data)), 0))
	return string(bytes.TrimSpace(data[:n]))
}

// to is the way from the agent to a host or an address, at a port.
func (a *agent) to(host string, port int) route {
	return func(r netload.Request) (*netload.Result, error) {
		r.Addr = net.JoinHostPort(host, strconv.Itoa(port))
		impatience := time.AfterFunc(time.Duration(r.Seconds*float64(time.Second))+2*startLimit, func() { a.cmd.Process.Kill() })
		defer impatience.Stop()
		reply, err := a.remote.Do(r)
		if err != nil {
			return nil, err
		}
		return reply.Result, nil
	}
}

// here is the way from this process to an address.
func here(host string, port int) route {
	return func(r netload.Request) (*netload.Result, error) {
		r.Addr = net.JoinHostPort(host, strconv.Itoa(port))
		return netload.Run(context.Background(), r)
	}
}

// close ends the agents, which end when their input does.
func (s *stand) close() (err error) {
	for _, a := range s.agents {
		a.in.Close()
		impatience := time.AfterFunc(startLimit, func() { syscall.Kill(-a.cmd.Process.Pid, syscall.SIGKILL) })
		if e := a.cmd.Wait(); e != nil {
			err = errors.Join(err, fmt.Errorf("ending %s: %w: %s", s.name, e, a.words()))
		}
		impatience.Stop()
		a.talk.Close()
	}
	for i := len(s.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, s.undo[i]())
	}
	return err
}

// freePort is a port that nobody has, for TCP and UDP.
func freePort() (int, error) {
	s, err := netload.Listen(":0")
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return s.Port(), nil
}

// ownAddress is the host's address on the way to the world; empty where there is no
// such way. Nothing is sent.
func ownAddress() string {
	c, err := net.Dial("udp4", "198.51.100.1:9")
	if err != nil {
		return ""
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String()
}
