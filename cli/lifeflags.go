package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addLife: when it ends, what happens then, and how its health is asked for.
func (c *containerFlags) addLife(flags *pflag.FlagSet) {
	flags.StringVar(&c.Runtime, "runtime", "", "Runtime to use for this container")
	flags.StringVar(&c.Restart, "restart", "no", "Restart policy to apply when a container exits")
	flags.UintVar(&c.Timeout, "timeout", 0, "Maximum time (in seconds) that the container may run, after which it is killed")
	flags.StringVar(&c.HealthCommand, "health-cmd", "", "Command to run to check health")
	flags.DurationVar(&c.HealthInterval, "health-interval", 0, "Time between running the check (ms|s|m|h) (default 0s)")
	flags.StringVar(&c.HealthOnFailure, "health-on-failure", "none", `Action to take once the container turns unhealthy ("kill", "none", "restart", "stop")`)
	flags.IntVar(&c.HealthRetries, "health-retries", 0, "Consecutive failures needed to report unhealthy")
	flags.DurationVar(&c.HealthStartInterval, "health-start-interval", 0, "Time between running the check during the start period (ms|s|m|h) (default 0s)")
	flags.DurationVar(&c.HealthStartPeriod, "health-start-period", 0, "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)")
	flags.DurationVar(&c.HealthTimeout, "health-timeout", 0, "Maximum time to allow one check to run (ms|s|m|h) (default 0s)")
	flags.BoolVar(&c.NoHealth, "no-healthcheck", false, "Disable any container-specified HEALTHCHECK")
}

func completeLife(cmd *cobra.Command) {
	completeFlag(cmd, "runtime", "crun", "runc", "runsc", "skiff")
	completeFlag(cmd, "restart", "always", "no", "on-failure", "on-failure:", "unless-stopped")
	completeFlag(cmd, "health-on-failure", "kill", "none", "restart", "stop")
	for _, name := range []string{"timeout", "health-cmd", "health-interval", "health-retries", "health-start-interval", "health-start-period", "health-timeout"} {
		completeFlag(cmd, name)
	}
}
