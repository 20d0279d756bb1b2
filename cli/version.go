package cli

import (
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/run"
	"github.com/spf13/cobra"
)

func newVersion(p *program) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "version [OPTIONS]",
		Short: "Show the skiff version information",
		Example: `  skiff version
  skiff version -f '{{.Client.Version}}'`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runVersion(p.streams, format)
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", inspectFormatHelp)
	completeFlag(cmd, "format", "json", "{{.Client.Version}}")
	return cmd
}

// versionView is what --format sees. There is no daemon: the server that scripts
// ask for is the client itself.
type versionView struct {
	Client run.Version
	Server run.Version
}

func runVersion(s *streams, format string) error {
	v := (*run.Engine)(nil).Version()
	if format != "" {
		return s.printFormat(format, versionView{v, v})
	}
	fmt.Fprintf(s.data(), "Client: skiff\n")
	for _, field := range [][2]string{
		{"Version", v.Version}, {"Git commit", v.GitCommit}, {"Built", v.Built},
		{"Go version", v.GoVersion}, {"OS/Arch", v.Os + "/" + v.Arch}, {"Module", v.Module},
	} {
		if field[1] != "" {
			fmt.Fprintf(s.data(), " %-12s %s\n", field[0]+":", field[1])
		}
	}
	return nil
}

// versionLine is what --version prints.
func versionLine() string {
	v := (*run.Engine)(nil).Version()
	build := v.GitCommit
	if len(build) > 7 {
		build = build[:7]
	}
	if build == "" {
		build = "unknown"
	}
	return fmt.Sprintf("skiff version %s, build %s", v.Version, build)
}

// printFormat is --format of a command that prints one object.
func (s *streams) printFormat(format string, v any) error {
	if format == "json" {
		return s.printJSON(v, true)
	}
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	return s.printTemplate(t, v)
}

// platformDefault is --platform's where the user set one for docker.
func platformDefault() string { return os.Getenv("DOCKER_DEFAULT_PLATFORM") }
