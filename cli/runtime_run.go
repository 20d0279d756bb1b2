package cli

import (
	"io"
	"os"
	"os/signal"

	"github.com/skiff-containers/skiff/oci"
	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newRuntimeRun(f *runtimeFlags) *cobra.Command {
	var o ociruntime.CreateOptions
	var detach, keep bool
	cmd := &cobra.Command{
		Use:     "run [OPTIONS] CONTAINER",
		Short:   "Create a container from a bundle, start it and wait for its end",
		Example: `  skiff runtime run --bundle ./bundle test`,
		Args:    exactArgs(1),
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			o.ID, o.Owner, o.Stdio, o.Attached = args[0], callerName(), f.processStdio(), !detach
			if !detach {
				o.TerminalSize = f.terminalSize()
			}
			started, err := r.Run(&o)
			if err != nil || detach {
				return err
			}
			err = f.attend(started)
			if !keep {
				if deleteErr := r.Delete(o.ID, true); deleteErr != nil {
					return deleteErr
				}
			}
			return err
		}),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	flags := cmd.Flags()
	addRuntimeCreate(flags, &o)
	flags.BoolVarP(&detach, "detach", "d", false, "Do not wait for the end of the container")
	flags.BoolVar(&keep, "keep", false, "Do not delete the container when it has ended")
	return cmd
}

// attend waits for a process: its terminal is copied, signals are handed on. Its exit
// code is that of the command.
func (f *runtimeFlags) attend(started *oci.Started) error {
	signals := make(chan os.Signal, 128)
	signal.Notify(signals)
	defer signal.Stop(signals)
	go func() {
		for s := range signals {
			if number, ok := s.(unix.Signal); ok && number != unix.SIGCHLD && number != unix.SIGURG && number != unix.SIGPIPE && number != unix.SIGWINCH {
				unix.Kill(started.Process.PID, number)
			}
		}
	}()
	shown, err := f.showConsole(started.Console)
	if err != nil {
		unix.Kill(started.Process.PID, unix.SIGKILL)
	}
	status, waitErr := started.Process.Wait()
	<-shown
	switch {
	case err != nil:
		return err
	case waitErr != nil:
		return waitErr
	case status.Signaled():
		return outcome(codeSignalBase + int(status.Signal()))
	}
	return outcome(status.ExitStatus())
}

// showConsole copies a process's terminal to this one; the channel is closed when all
// was shown.
func (f *runtimeFlags) showConsole(console *os.File) (<-chan struct{}, error) {
	done := make(chan struct{})
	if console == nil {
		close(done)
		return done, nil
	}
	if t := f.p.terminalState(); t.f != nil {
		if _, err := t.Raw(); err != nil {
			close(done)
			return done, err
		}
		resize := func() {
			if rows, columns := t.Size(); rows > 0 {
				unix.IoctlSetWinsize(int(console.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
			}
		}
		resize()
		resized := t.Resized()
		go func() {
			for range resized {
				resize()
			}
		}()
	}
	go io.Copy(console, f.p.In)
	go func() {
		io.Copy(f.p.Out, oci.ConsoleReader{Master: console})
		close(done)
	}()
	return done, nil
}
