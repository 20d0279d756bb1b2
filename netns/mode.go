package netns

import (
	"fmt"
	"strings"

	"github.com/skiff-containers/skiff/userns"
)

// Mode is the network of a container.
type Mode string

const (
	None Mode = "none" // a network namespace of its own with the loopback interface up
	Host Mode = "host" // the host's network namespace
)

// Default is the mode where nobody asks for one. It shares the host's network
// until networks of containers exist.
const Default = Host

// DefaultNotice says, once, what the default means.
const DefaultNotice = "containers share this machine's network for now: its interfaces, ports and loopback services; run with --network none to cut one off, or --network host to say that you want it so"

// Parse reads --network. An empty text is [Default].
func Parse(text string) (Mode, error) {
	switch Mode(text) {
	case "", "default":
		return Default, nil
	case None, Host:
		return Mode(text), nil
	}
	what := fmt.Sprintf("network %q is not supported yet", text)
	if kind, _, found := strings.Cut(text, ":"); found && (kind == "container" || kind == "ns") {
		what = fmt.Sprintf("network %q: joining the network of another is not supported yet", text)
	}
	return "", &userns.HostError{What: what, Hint: "use --network host to share this machine's network, or --network none for none"}
}

// Private tells whether the container has a network namespace of its own.
func (m Mode) Private() bool { return m != Host }
