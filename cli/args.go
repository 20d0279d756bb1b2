package cli

import (
	"fmt"

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
	return badFlag(cmd, err.Error())
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
