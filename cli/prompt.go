package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"
)

// errNoPrompt says that a question cannot be asked, as nobody sits at stdin.
var errNoPrompt = errors.New("cannot perform an interactive login from a non TTY device")

// ask puts a question and reads one line.
func (s *streams) ask(ctx context.Context, question string) (string, error) {
	if !isTerminal(s.In) {
		return "", &hinted{errNoPrompt, "give --username and --password-stdin"}
	}
	fmt.Fprint(s.Err, question)
	return waitFor(ctx, func() (string, error) {
		line, err := bufio.NewReader(s.In).ReadString('\n')
		if errors.Is(err, io.EOF) && line != "" {
			err = nil
		}
		return strings.TrimSpace(line), err
	})
}

// confirm asks a question that is answered by y or n. What is not y is no, the end of
// stdin too.
func (s *streams) confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprint(s.Err, question)
	answer, err := waitFor(ctx, func() (string, error) { return bufio.NewReader(s.In).ReadString('\n') })
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return strings.EqualFold(strings.TrimSpace(answer), "y"), nil
}

// askSecret is ask without showing what is typed. However it ends, the terminal
// shows typing again.
func (s *streams) askSecret(ctx context.Context, question string) (string, error) {
	if !isTerminal(s.In) {
		return "", &hinted{errNoPrompt, "give --username and --password-stdin"}
	}
	// Before the question: one who answers fast types what must not be seen.
	restore, err := s.terminalState().hide()
	if err != nil {
		return "", err
	}
	defer restore()
	fmt.Fprint(s.Err, question)
	defer fmt.Fprintln(s.Err)
	return waitFor(ctx, func() (string, error) {
		secret, err := term.ReadPassword(int(s.In.Fd()))
		return string(secret), err
	})
}

// waitFor gives up waiting for read when ctx ends; read itself may stay blocked.
func waitFor(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := read()
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
