package firewall

import (
	"os"
	"testing"

	"github.com/skiff-containers/skiff/internal/netlab"
)

func TestMain(m *testing.M) { os.Exit(netlab.Main(m)) }
