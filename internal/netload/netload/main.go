// Command netload is package netload's server and clients as one static program.
//
//	netload serve ADDR                   until it is killed; prints the port
//	netload agent                        requests on stdin, replies on stdout, as JSON lines
//	netload MODE [-flags] ADDR           one request; prints its result as JSON
//
// A mode is one of netload.Modes. It exits with 1 where a payload was wrong or an error
// was counted, so that scripts need not read the figures.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/skiff-containers/skiff/internal/netload"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "netload:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: netload serve ADDR | agent | MODE [-flags] ADDR (modes: %v)", netload.Modes)
	}
	switch args[0] {
	case "agent":
		return netload.Agent(ctx, os.Stdin, os.Stdout)
	case "serve":
		if len(args) != 2 {
			return errors.New("serve takes an address")
		}
		s, err := netload.Listen(args[1])
		if err != nil {
			return err
		}
		defer s.Close()
		fmt.Println(s.Port())
		<-ctx.Done()
		return nil
	}
	return load(ctx, args)
}

func load(ctx context.Context, args []string) error {
	r := netload.Request{Mode: args[0]}
	var ports string
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.Float64Var(&r.Seconds, "seconds", 2, "how long new work is begun")
	flags.IntVar(&r.Flows, "flows", 1, "streams, or connections at once")
	flags.BoolVar(&r.Reverse, "reverse", false, "the server sends")
	flags.BoolVar(&r.ServerCloses, "server-closes", false, "the server closes short connections first")
	flags.StringVar(&ports, "ports", "", "local ports of short connections, first-last")
	flags.IntVar(&r.Size, "size", 0, "bytes of payload")
	flags.Float64Var(&r.Rate, "rate", 0, "bit/s of datagrams (1e9)")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("one address is wanted")
	}
	r.Addr = flags.Arg(0)
	if ports != "" {
		if _, err := fmt.Sscanf(ports, "%d-%d", &r.Ports[0], &r.Ports[1]); err != nil {
			return fmt.Errorf("ports %q: %w", ports, err)
		}
	}
	result, err := netload.Run(ctx, r)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		return err
	}
	if result.Wrong > 0 || len(result.Errors) > 0 {
		return fmt.Errorf("%d wrong payloads, errors: %v", result.Wrong, result.Errors)
	}
	return nil
}
