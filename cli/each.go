package cli

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// eachAtOnce bounds how many operands are worked on at the same time.
const eachAtOnce = 16

// each does one thing to every operand, several at a time, and prints what comes
// back of those that succeed, in the operands' order. The errors of the others are joined.
func each(w io.Writer, operands []string, do func(operand string) (line string, err error)) error {
	type result struct {
		line string
		err  error
	}
	results := make([]chan result, len(operands))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	free := make(chan struct{}, eachAtOnce)
	var working sync.WaitGroup
	defer working.Wait()
	working.Go(func() {
		for i, operand := range operands {
			free <- struct{}{}
			working.Go(func() {
				defer func() { <-free }()
				line, err := do(operand)
				results[i] <- result{line, err}
			})
		}
	})
	var failed []error
	for _, r := range results {
		switch r := <-r; {
		case r.err != nil:
			failed = append(failed, r.err)
		case r.line != "":
			fmt.Fprintln(w, r.line)
		}
	}
	return errors.Join(failed...)
}

// inTurn is each for operands that depend on each other: one after the other.
func inTurn(w io.Writer, operands []string, do func(operand string) (line string, err error)) error {
	var failed []error
	for _, operand := range operands {
		line, err := do(operand)
		if err != nil {
			failed = append(failed, err)
		} else if line != "" {
			fmt.Fprintln(w, line)
		}
	}
	return errors.Join(failed...)
}
