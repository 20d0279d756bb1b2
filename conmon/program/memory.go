package program

import (
	"fmt"
	"os"

	"github.com/skiff-containers/skiff/oci"
)

// InMemory returns the small program as a sealed file in memory, for stages of who has
// no store to keep it in; nil where none is embedded.
func InMemory() (*os.File, error) {
	if !Embedded() {
		return nil, nil
	}
	f, err := oci.SealedProgram(func(to *os.File) error {
		_, err := to.WriteString(content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("laying out the stages' program: %w", err)
	}
	return f, nil
}
