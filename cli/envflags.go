package cli

import (
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/skiff-containers/skiff/completions"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addEnvironment: podman's flags for what the process finds around it.
func (c *containerFlags) addEnvironment(flags *pflag.FlagSet) {
	flags.BoolVar(&c.EnvHost, "env-host", false, "Use all variables of the caller's environment")
	flags.BoolVar(&c.HTTPProxy, "http-proxy", false, "Use the caller's environment variables for proxies")
	listVar(flags, &c.EnvMerge, "env-merge", "", "Set environment variables, with ${NAME} for the image's")
	listVar(flags, &c.UnsetEnv, "unsetenv", "", "Leave out a variable that the image or skiff would set")
	flags.BoolVar(&c.UnsetEnvAll, "unsetenv-all", false, "Leave out all variables that the image or skiff would set")
	flags.StringVar(&c.ImageVolume, "image-volume", "ignore", `What the image's volumes become ("ignore", "tmpfs")`)
	flags.BoolVar(&c.NoHostname, "no-hostname", false, "Leave the image's /etc/hostname as it is")
	flags.BoolVar(&c.NoHosts, "no-hosts", false, "Leave the image's /etc/hosts as it is")
	flags.BoolVar(&c.ReadOnlyTmpfs, "read-only-tmpfs", false, "With --read-only, let /run, /tmp and /var/tmp be written")
	listVar(flags, &c.Secrets, "secret", "", "Give a secret to the container (NAME[,type=mount|env][,target=PATH|VARIABLE][,mode=MODE])")
	flags.StringVar(&c.Systemd, "systemd", "true", `Prepare for systemd as the first process ("true" where it is that, "false", "always")`)
	flags.StringVar(&c.Timezone, "tz", "", `Time zone ("local", or a name such as Europe/Berlin)`)
	flags.StringVar(&c.Umask, "umask", "", "Set umask in the container (default 0022)")
}

func (c *containerFlags) completeEnvironment(p *program, cmd *cobra.Command) {
	must(cmd.RegisterFlagCompletionFunc("secret", p.completeSecrets(0)))
	completeFlagBy(cmd, "unsetenv", completions.Environment)
	completeFlag(cmd, "env-merge")
	completeFlag(cmd, "umask", "0002", "0022", "0027", "0077")
	completeFlag(cmd, "systemd", "always", "false", "true")
	completeFlag(cmd, "image-volume", "ignore", "tmpfs")
	completeFlagBy(cmd, "tz", zones)
}

// zones are the names of the host's tzdata.
func zones() []string {
	const folder = "/usr/share/zoneinfo"
	found := []string{"local"}
	_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, folder+"/")
		switch {
		case err != nil:
			return nil // what cannot be read is not offered
		case e.IsDir() && (e.Name() == "posix" || e.Name() == "right"):
			return fs.SkipDir
		case !e.IsDir() && name != "" && name[0] >= 'A' && name[0] <= 'Z' && !strings.Contains(name, "."):
			found = append(found, name)
		}
		return nil
	})
	return found
}
