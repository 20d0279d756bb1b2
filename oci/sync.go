package oci

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// The conversation between the one who starts a process and its stage goes over a
// socket pair, a stream, so that a config may be of any size:
//
//	starter                                   stage
//	   │ length, config                    ──▶  │
//	   │ mounts (SCM_RIGHTS)               ──▶  │  where another user's paths lead nowhere for the stage
//	   │ length, filter                    ──▶  │  what must be there before the program starts is
//	   │  ◀── console (master as SCM_RIGHTS)    │  with a terminal only
//	   │  ◀── ready                             │  all is made; what follows is exec
//	   │  ◀── failure{code, text, hint}         │  before or after ready, always last
//	   │  ◀── end of stream                     │  after ready: executed, as exec closed the stage's end
//
// An end of stream without ready is a stage that died: nothing is taken for started
// that was not. The starter's end stays open until then; its hang-up tells the stage
// that nobody waits any longer.
const syncName = "sync"

type messageKind byte

const (
	messageConsole messageKind = 'c'
	messageReady   messageKind = 'r'
	messageFailure messageKind = 'f'
	messageHooks   messageKind = 'h' // the mounts are made: hooks outside may see them; an empty block answers
	messageHeld    messageKind = 'w' // all is made, and the stage waits to be released: the last of this conversation
	messageListen  messageKind = 'l' // the listener of the system call filter, as SCM_RIGHTS; an empty block answers
)

// maxMessage bounds what a starter reads from a stage: the words of an error.
const maxMessage = 64 << 10

// header is a message's kind and the length of what follows.
const headerSize = 5

// link is one end of the conversation.
type link struct{ fd int }

// socketPair returns the starter's end and the one to pass.
func socketPair() (ours link, theirs *os.File, err error) {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return link{}, nil, fmt.Errorf("opening a socket pair: %w", err)
	}
	return link{ends[0]}, os.NewFile(uintptr(ends[1]), syncName), nil
}

func (l link) close() { unix.Close(l.fd) }

// write sends all of b. A stage that is gone is no error here: its last word is
// still to be read.
func (l link) write(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(l.fd, b, nil, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EPIPE || err == unix.ECONNRESET:
			return nil
		case err != nil:
			return fmt.Errorf("talking to the stage: %w", err)
		}
		b = b[n:]
	}
	return nil
}

// readFull fills b; io.EOF where the other end was closed.
func (l link) readFull(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(l.fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECONNRESET || err == nil && n == 0:
			return io.EOF
		case err != nil:
			return fmt.Errorf("reading from the other end: %w", err)
		}
		b = b[n:]
	}
	return nil
}

// sendBlock writes a length and what follows: the starter's messages are such, the
// config and then the filter, which the stage needs last.
func (l link) sendBlock(data []byte) error {
	b := make([]byte, 0, 4+len(data))
	b = binary.NativeEndian.AppendUint32(b, uint32(len(data)))
	return l.write(append(b, data...))
}

// receiveConfig reads the first of them. io.EOF says that the starter has gone.
func (l link) receiveConfig() (*config, error) {
	data, err := l.block()
	if err != nil {
		return nil, err
	}
	c, err := decodeConfig(data)
	if err == nil && c.Container != nil {
		c.Container.Trees, err = l.receiveTrees(len(c.Container.Trees))
	}
	return c, err
}

// receiveFilter reads the second, and so waits until the starter has done its part.
func (l link) receiveFilter() ([]byte, error) { return l.block() }

func (l link) block() ([]byte, error) {
	var size [4]byte
	if err := l.readFull(size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.NativeEndian.Uint32(size[:]))
	return b, l.readFull(b)
}

// send writes one of the stage's messages. Nobody is left to tell of its failure.
func (l link) send(kind messageKind, body []byte, rights []byte) {
	b := make([]byte, headerSize, headerSize+len(body))
	b[0] = byte(kind)
	binary.NativeEndian.PutUint32(b[1:], uint32(len(body)))
	b = append(b, body...)
	n := 0
	err := userns.Retried(func() (err error) {
		n, err = unix.SendmsgN(l.fd, b, rights, nil, unix.MSG_NOSIGNAL)
		return err
	})
	if err == nil {
		l.write(b[n:])
	}
}

func (l link) sendConsole(master int) { l.send(messageConsole, nil, unix.UnixRights(master)) }
func (l link) sendReady()             { l.send(messageReady, nil, nil) }

func (l link) sendFailure(err error) {
	e := asError(err)
	if len(e.Text) > maxMessage/4 {
		e.Text = e.Text[:maxMessage/4]
	}
	body, _ := json.Marshal(e)
	l.send(messageFailure, body, nil)
}

// errStageDied is an end of stream that no failure announced.
var errStageDied = errors.New("the stage ended before it had executed the process")

// answers are what a starter does when a stage asks for it.
type answers struct {
	hooks  func() error
	listen func(listener *os.File) error
}

// give does one of them and tells the stage to go on.
func (a *answers) give(l link, kind messageKind, file *os.File) error {
	var err error
	switch {
	case kind == messageHooks && a != nil && a.hooks != nil:
		err = a.hooks()
	case kind == messageListen && a != nil && a.listen != nil && file != nil:
		err = a.listen(file)
	default:
		err = fmt.Errorf("reading from the stage: unexpected message %q", kind)
	}
	if err != nil {
		return err
	}
	return l.sendBlock(nil)
}

// await reads the stage's messages to their end. It returns the console where one came.
func (l link) await(a *answers) (console *os.File, err error) {
	ready := false
	for {
		kind, body, fd, err := l.message()
		var file *os.File
		if fd >= 0 {
			file = os.NewFile(uintptr(fd), "passed by a stage")
		}
		if kind == messageConsole && console == nil {
			console = file
		} else if file != nil {
			defer file.Close()
		}
		switch {
		case err == io.EOF && ready:
			return console, nil
		case err == io.EOF:
			return console, errStageDied
		case err != nil:
			return console, err
		}
		switch kind {
		case messageReady:
			ready = true
		case messageConsole:
		case messageHooks, messageListen:
			if err := a.give(l, kind, file); err != nil {
				return console, err
			}
		case messageHeld:
			return console, nil
		case messageFailure:
			e := new(Error)
			if err := json.Unmarshal(body, e); err != nil {
				return console, fmt.Errorf("reading the stage's failure: %w", err)
			}
			return console, e
		default:
			return console, fmt.Errorf("reading from the stage: unexpected message %q", kind)
		}
	}
}

// message reads one message; fd is -1 where no descriptor came with it.
func (l link) message() (kind messageKind, body []byte, fd int, err error) {
	fd = -1
	header := make([]byte, headerSize)
	rights := make([]byte, unix.CmsgSpace(4))
	var n, rn int
	err = userns.Retried(func() (err error) {
		n, rn, _, _, err = unix.Recvmsg(l.fd, header, rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_WAITALL)
		return err
	})
	if err == unix.ECONNRESET || err == nil && n == 0 {
		return 0, nil, -1, io.EOF
	}
	if err != nil {
		return 0, nil, -1, fmt.Errorf("reading from the stage: %w", err)
	}
	if rn > 0 {
		if messages, err := unix.ParseSocketControlMessage(rights[:rn]); err == nil && len(messages) == 1 {
			if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
				fd = fds[0]
			}
		}
	}
	if err := l.readFull(header[n:]); err != nil {
		return 0, nil, fd, err
	}
	size := binary.NativeEndian.Uint32(header[1:])
	if size > maxMessage {
		return 0, nil, fd, fmt.Errorf("reading from the stage: message of %d bytes", size)
	}
	body = make([]byte, size)
	return messageKind(header[0]), body, fd, l.readFull(body)
}
