package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skiff-containers/skiff/ociruntime"
	"github.com/spf13/cobra"
)

func newRuntimeSpec(f *runtimeFlags) *cobra.Command {
	var bundle string
	var rootless bool
	cmd := &cobra.Command{
		Use:   "spec [OPTIONS]",
		Short: "Write a config.json to begin with",
		Example: `  mkdir rootfs && skiff runtime spec && skiff runtime run test
  skiff runtime spec --rootless        for an ordinary user`,
		Args: noArgs,
		RunE: f.does(func(r *ociruntime.Runtime, args []string) error {
			data, err := json.MarshalIndent(ociruntime.ExampleSpec(rootless), "", "\t")
			if err != nil {
				return err
			}
			name := filepath.Join(bundle, "config.json")
			file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
			if errors.Is(err, os.ErrExist) {
				return fmt.Errorf("file %s exists. Remove it first", name)
			}
			if err != nil {
				return err
			}
			_, err = file.Write(append(data, '\n'))
			return errors.Join(err, file.Close())
		}),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().StringVarP(&bundle, "bundle", "b", "", "Folder to write it to (default: this one)")
	cmd.Flags().BoolVar(&rootless, "rootless", false, "Write one for an ordinary user, with a user namespace")
	return cmd
}
