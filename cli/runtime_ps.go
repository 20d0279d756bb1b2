package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimePs(f *runtimeFlags) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "ps [OPTIONS] CONTAINER",
		Short:   "List the processes of a container",
		Example: `  skiff runtime ps test`,
		Args:    exactArgs(1),
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			pids, err := r.Processes(args[0])
			if err != nil {
				return err
			}
			return f.printProcesses(pids, format)
		}),
		ValidArgsFunction: f.completeContainers,
	}
	cmd.Flags().StringVarP(&format, "format", "f", "table", `Format of the list ("table"|"json")`)
	completeFlag(cmd, "format", "table", "json")
	return cmd
}

func (f *runtimeFlags) printProcesses(pids []int, format string) error {
	switch format {
	case "json":
		if pids == nil {
			pids = []int{}
		}
		return json.NewEncoder(f.p.data()).Encode(pids)
	case "table":
		w := tabwriter.NewWriter(f.p.data(), 8, 1, 2, ' ', 0)
		fmt.Fprintln(w, "UID\tPID\tPPID\tCMD")
		for _, pid := range pids {
			if uid, parent, command, err := processLine(pid); err == nil {
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", uid, pid, parent, clean(command))
			}
		}
		return w.Flush()
	}
	return fmt.Errorf("invalid format %q: table or json", format)
}

// processLine reads what proc_pid_status(5) and proc_pid_cmdline(5) tell.
func processLine(pid int) (uid, parent, command string, err error) {
	folder := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(folder + "/status")
	if err != nil {
		return "", "", "", err
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "Name":
			command = "[" + strings.TrimSpace(value) + "]"
		case "Uid":
			uid = fields[0]
		case "PPid":
			parent = fields[0]
		}
	}
	if line, err := os.ReadFile(folder + "/cmdline"); err == nil && len(line) > 0 {
		command = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
	}
	return uid, parent, command, nil
}
