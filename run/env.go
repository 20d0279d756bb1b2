package run

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// defaultPath is the PATH of a container whose image names none, as Docker's.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// lookup finds a variable of the caller (os.LookupEnv).
type lookup func(key string) (string, bool)

// userEnv joins --env-file and -e, the files first. A KEY without a value takes
// over the caller's; where the caller has none it stays bare, and [joinEnv] drops
// the variable, the image's too.
func userEnv(files, pairs []string, caller lookup) ([]string, error) {
	var env []string
	for _, path := range files {
		have, err := readEnvFile(path, caller)
		if err != nil {
			return nil, err
		}
		env = append(env, have...)
	}
	for _, pair := range pairs {
		key, _, given := strings.Cut(pair, "=")
		if key == "" {
			return nil, fmt.Errorf("parsing environment variable %q: it has no name", pair)
		}
		if strings.ContainsRune(pair, 0) {
			return nil, fmt.Errorf("parsing environment variable %q: it has a zero byte", pair)
		}
		if !given {
			if value, ok := caller(key); ok {
				pair = key + "=" + value
			}
		}
		env = append(env, pair)
	}
	return env, nil
}

// readEnvFile reads a file of KEY=VALUE lines by Docker's rules: no quotes, '#'
// begins a comment only where the line begins, a bare KEY takes the caller's value
// or is left out.
func readEnvFile(path string, caller lookup) ([]string, error) {
	var env []string
	err := readPairs(path, func(key, value string, given bool) {
		if !given {
			if value, given = caller(key); !given {
				return
			}
		}
		env = append(env, key+"="+value)
	})
	return env, err
}

// readPairs is the file format that --env-file and --label-file share.
func readPairs(path string, each func(key, value string, given bool)) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if !utf8.ValidString(line) {
			return fmt.Errorf("parsing %s: line %d is not UTF-8", path, number)
		}
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, given := strings.Cut(line, "=")
		switch {
		case key == "":
			return fmt.Errorf("parsing %s: line %d has no variable name", path, number)
		case strings.ContainsFunc(key, unicode.IsSpace):
			return fmt.Errorf("parsing %s: line %d: variable %q contains white space", path, number, key)
		case strings.ContainsRune(line, 0):
			return fmt.Errorf("parsing %s: line %d has a zero byte", path, number)
		}
		each(key, value, given)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("parsing %s: %w", path, err)
	}
	return nil
}

// joinEnv lays env over base: a KEY=VALUE replaces, a bare KEY removes.
func joinEnv(base, env []string) []string {
	joined := slices.Clone(base)
	for _, pair := range env {
		key, _, given := strings.Cut(pair, "=")
		at := slices.IndexFunc(joined, func(have string) bool {
			name, _, _ := strings.Cut(have, "=")
			return name == key
		})
		switch {
		case given && at >= 0:
			joined[at] = pair
		case given:
			joined = append(joined, pair)
		case at >= 0:
			joined = slices.Delete(joined, at, at+1)
		}
	}
	return joined
}

// imageEnv appends what the image sets and the user did not, as Docker keeps it
// in a container's config.
func imageEnv(user, image []string) []string {
	joined := slices.Clone(user)
	for _, pair := range image {
		key, _, _ := strings.Cut(pair, "=")
		if key == "" || slices.ContainsFunc(user, func(have string) bool {
			name, _, _ := strings.Cut(have, "=")
			return name == key
		}) {
			continue
		}
		joined = append(joined, pair)
	}
	return joined
}

// processEnv is the environment of a container's process, but for HOME, which the
// shim adds when it knows the user.
func processEnv(config []string, hostname string, tty bool) []string {
	base := []string{defaultPath, "HOSTNAME=" + hostname}
	if tty {
		base = append(base, "TERM=xterm")
	}
	return joinEnv(base, config)
}

// parseLabels joins --label-file and --label with those of the image.
func parseLabels(files, pairs []string, image map[string]string) (map[string]string, error) {
	labels := make(map[string]string, len(image)+len(pairs))
	for key, value := range image {
		labels[key] = value
	}
	for _, path := range files {
		if err := readPairs(path, func(key, value string, _ bool) { labels[key] = value }); err != nil {
			return nil, err
		}
	}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		if key == "" {
			return nil, fmt.Errorf("parsing label %q: it has no name", pair)
		}
		labels[key] = value
	}
	return labels, nil
}
