package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Validators of the number of operands, in Docker's words.

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return argumentsError(cmd, "accepts no arguments")
}

func minArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= n {
			return nil
		}
		return argumentsError(cmd, "requires at least "+arguments(n))
	}
}

func maxArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= n {
			return nil
		}
		return argumentsError(cmd, "requires at most "+arguments(n))
	}
}

func rangeArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		return argumentsError(cmd, fmt.Sprintf("requires at least %d and at most %s", least, arguments(most)))
	}
}

func exactArgs(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return argumentsError(cmd, "requires "+arguments(n))
	}
}

func arguments(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

func argumentsError(cmd *cobra.Command, what string) error {
	return &usageError{
		message: fmt.Sprintf("'%s' %s", cmd.CommandPath(), what),
		usage:   cmd.UseLine(),
		see:     cmd.CommandPath(),
		code:    codeFailed,
	}
}

// flagError is cobra's hook for flags that it cannot parse.
func flagError(cmd *cobra.Command, err error) error {
	if refused := refusedError(err); refused != nil {
		return refused
	}
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		if err := absent(cmd, words[0]); err != nil {
			return err // its flags are not known, either
		}
	}
	var filter *unknownFilter
	if errors.As(err, &filter) {
		return filter
	}
	return badFlag(cmd, inWords(err))
}

// inWords says what is wrong with a flag's value in place of package strconv.
func inWords(err error) string {
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err.Error()
	}
	words := "not a whole number"
	switch {
	case errors.Is(number, strconv.ErrRange):
		words = "the number is out of range"
	case number.Func == "ParseBool":
		words = "neither true nor false"
	case number.Func == "ParseUint":
		words = "not a whole number from 0 on"
	case number.Func == "ParseFloat":
		words = "not a number"
	}
	return strings.Replace(err.Error(), number.Error(), words, 1)
}

// isParsing tells whether err is pflag's own, of a command line that it cannot parse.
func isParsing(err error) bool {
	switch err.(type) {
	case *pflag.NotExistError, *pflag.ValueRequiredError, *pflag.InvalidValueError, *pflag.InvalidSyntaxError:
		return true
	}
	return false
}

// badFlag is a command line whose flags make no sense.
func badFlag(cmd *cobra.Command, message string) error {
	return &usageError{message: message, usage: cmd.UseLine(), see: cmd.CommandPath(), code: codeSkiff}
}

// unknownCommand is the Args function of commands that only hold others.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if err := absent(cmd, args[0]); err != nil {
		return err
	}
	e := &usageError{
		message: fmt.Sprintf("unknown command: %s %s", cmd.CommandPath(), args[0]),
		see:     cmd.CommandPath(),
		code:    codeFailed,
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		e.message += fmt.Sprintf("\n\nDid you mean '%s %s'?", cmd.CommandPath(), near[0])
	}
	return e
}
