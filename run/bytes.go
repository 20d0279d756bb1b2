package run

import (
	"fmt"

	"github.com/docker/go-units"
)

// mostBytes is more than any machine has, and twice it is still a number.
const mostBytes = 1 << 60

// parseBytes reads a size as docker does: a number, with a fraction and a unit where one
// is given. What units takes beyond the range of int64 has become any number there.
func parseBytes(text string) (int64, error) {
	n, err := units.RAMInBytes(text)
	if err == nil && (n < 0 || n > mostBytes) {
		return 0, fmt.Errorf("invalid size: '%s' is more than can be counted", text)
	}
	return n, err
}
