package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimeList(f *runtimeFlags) *cobra.Command {
	var format string
	var quiet bool
	cmd := &cobra.Command{
		Use:     "list [OPTIONS]",
		Short:   "List the containers of this runtime",
		Example: `  skiff runtime list --format json`,
		Aliases: []string{"ls"},
		Args:    noArgs,
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			all, err := r.List()
			if err != nil {
				return err
			}
			return f.printList(all, format, quiet)
		}),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVarP(&format, "format", "f", "table", `Format of the list ("table"|"json")`)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Only print ids")
	completeFlag(cmd, "format", "table", "json")
	return cmd
}

// listed is one container in the JSON list, with runc's names.
type listed struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	PID         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

func (f *runtimeFlags) printList(all []*ociruntime.State, format string, quiet bool) error {
	if quiet {
		for _, s := range all {
			fmt.Fprintln(f.p.data(), s.ID)
		}
		return nil
	}
	switch format {
	case "json":
		list := []listed{}
		for _, s := range all {
			list = append(list, listed{s.Version, s.ID, s.Pid, string(s.Status), s.Bundle, s.Rootfs, s.Created, s.Annotations, s.Owner})
		}
		return json.NewEncoder(f.p.data()).Encode(list)
	case "table":
		w := tabwriter.NewWriter(f.p.data(), 12, 1, 3, ' ', 0)
		fmt.Fprintln(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER")
		for _, s := range all {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", clean(s.ID), s.Pid, s.Status, clean(s.Bundle), s.Created.Format(time.RFC3339Nano), clean(s.Owner))
		}
		return w.Flush()
	}
	return fmt.Errorf("invalid format %q: table or json", format)
}
