package run

import (
	"fmt"
	"strconv"
)

// checkUmask refuses what is no file mode creation mask.
func checkUmask(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if n, err := strconv.ParseUint(text, 8, 32); err != nil || n > 0o777 {
		return "", fmt.Errorf("invalid umask %q: three octal digits, such as 0022", text)
	}
	return text, nil
}

// umaskOf is a checked umask as the OCI config has it; nil is the default.
func umaskOf(text string) *uint32 {
	if text == "" {
		return nil
	}
	n, _ := strconv.ParseUint(text, 8, 32)
	mask := uint32(n)
	return &mask
}
