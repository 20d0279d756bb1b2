package link

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// sysctlOption is Docker's: kernel parameters of an endpoint's interface, with
// commas between, such as net.ipv4.conf.IFNAME.log_martians=1.
const sysctlOption = "com.docker.network.endpoint.sysctls"

// sysctls sets what the endpoint's options ask, in the calling thread's namespace.
func sysctls(e *store.Endpoint) error {
	for setting := range strings.SplitSeq(e.Options[sysctlOption], ",") {
		if setting == "" {
			continue
		}
		name, value, _ := strings.Cut(setting, "=")
		parts := strings.Split(name, ".")
		if len(parts) != 5 || parts[0] != "net" || parts[2] != "conf" && parts[2] != "neigh" || parts[3] != "IFNAME" || strings.Contains(name, "/") {
			return fmt.Errorf("setting %q of network %q: a sysctl of an endpoint is net.X.Y.IFNAME.Z=VALUE", setting, e.Network)
		}
		parts[3] = e.Interface // which may have dots in it
		path := "/proc/sys/" + strings.Join(parts, "/")
		err := os.WriteFile(path, []byte(value), 0)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("there is no such sysctl")
		}
		if err != nil {
			return fmt.Errorf("setting %q of network %q: %w", setting, e.Network, err)
		}
	}
	return nil
}
