package cli

import (
	"errors"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addGlobal are the options that stand before the command.
func (p *program) addGlobal(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&p.root, "root", "", "Folder of containers and images (default $SKIFF_ROOT, else $XDG_DATA_HOME/skiff)")
	flags.StringVar(&p.runtime, "runtime", "", "OCI runtime of new containers (default $SKIFF_RUNTIME, else skiff's own)")
	flags.Var(configFolder{}, "config", "Folder of docker's config.json (default $DOCKER_CONFIG, else ~/.docker)")
	flags.BoolVarP(&p.debug, "debug", "D", false, "Enable debug mode")
	flags.VarP(logLevel{p}, "log-level", "l", `Set the logging level ("debug", "info", "warn", "error", "fatal"); from warn on no notes are shown`)
	refuseDaemon(flags)
	completeFlag(cmd, "log-level", logLevels()...)
}

// noDaemon is why what says where docker's daemon is can only be refused.
const noDaemon = "there is no daemon to connect to"

// refuseDaemon are docker's and podman's flags that name a daemon.
func refuseDaemon(flags *pflag.FlagSet) {
	elsewhere := "another store is named by --root, on another machine by ssh HOST skiff …"
	flags.VarP(fixed{"default", refusal{"context", "string", noDaemon, elsewhere}}, "context", "c", "Name of the context to use: there is default alone")
	for _, r := range []struct {
		refusal
		shorthand string
	}{
		{refusal{"host", "list", noDaemon, elsewhere}, "H"},
		{refusal{"connection", "string", noDaemon, elsewhere}, ""},
		{refusal{"remote", "bool", noDaemon, elsewhere}, "r"},
		{refusal{"url", "string", noDaemon, elsewhere}, ""},
		{refusal{"tls", "bool", noDaemon, ""}, ""},
		{refusal{"tlscacert", "string", noDaemon, ""}, ""},
		{refusal{"tlscert", "string", noDaemon, ""}, ""},
		{refusal{"tlskey", "string", noDaemon, ""}, ""},
		{refusal{"tlsverify", "bool", noDaemon, "--tls-verify of run and pull is about registries"}, ""},
	} {
		flags.VarP(r.refusal, r.name, r.shorthand, r.why)
		f := flags.Lookup(r.name)
		f.Hidden = true
		if r.kind == "bool" {
			f.NoOptDefVal = "true"
		}
	}
	flags.Lookup("context").Hidden = true
}

// configFolder is --config. What reads docker's config.json, programs that keep
// credentials among it, asks the environment for its folder.
type configFolder struct{}

func (configFolder) Set(folder string) error { return os.Setenv("DOCKER_CONFIG", folder) }
func (configFolder) Type() string            { return "string" }
func (configFolder) String() string          { return "" }

// logLevel is --log-level: --debug has more than skiff says else, and notes are what
// can be left out.
type logLevel struct{ p *program }

func logLevels() []string { return []string{"debug", "info", "warn", "error", "fatal"} }

func (l logLevel) Set(level string) error {
	at := slices.Index(logLevels(), level)
	if at < 0 {
		return errors.New("must be one of " + quoted(logLevels()))
	}
	l.p.debug, l.p.muted = level == "debug", at > 1
	return nil
}
func (l logLevel) Type() string   { return "string" }
func (l logLevel) String() string { return "" }
