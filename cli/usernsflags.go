package cli

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addIDs: which ids the container has.
func (c *containerFlags) addIDs(flags *pflag.FlagSet) {
	flags.StringVar(&c.Userns, "userns", "", "User namespace to use")
	flags.Var(namedList{list{&c.UIDMap}, "map"}, "uidmap", "User ids of the container (INSIDE:OUTSIDE:SIZE)")
	flags.Var(namedList{list{&c.GIDMap}, "map"}, "gidmap", "Group ids of the container (INSIDE:OUTSIDE:SIZE)")
	flags.StringVar(&c.SubUIDName, "subuidname", "", "Name of a range in /etc/subuid (not supported)")
	flags.StringVar(&c.SubGIDName, "subgidname", "", "Name of a range in /etc/subgid (not supported)")
}

func (c *containerFlags) completeIDs(p *program, cmd *cobra.Command) {
	completeFlag(cmd, "userns", "auto", "auto:size=", "host", "keep-id", "keep-id:uid=", "nomap")
	for _, name := range []string{"uidmap", "gidmap", "subuidname", "subgidname"} {
		completeFlag(cmd, name)
	}
}
