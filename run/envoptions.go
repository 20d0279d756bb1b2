package run

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// createEnv is a container's environment as its record keeps it: the user's, then
// what the image sets beside it. A bare KEY removes the variable, also where skiff
// itself would set it.
func createEnv(o *CreateOptions, image []string) ([]string, error) {
	env, err := userEnv(o.EnvFiles, o.Env, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	merged, err := mergeEnv(o.EnvMerge, image)
	if err != nil {
		return nil, err
	}
	var base []string
	if o.HTTPProxy {
		base = proxyEnv(os.LookupEnv)
	}
	if o.EnvHost {
		base = slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "=") })
	}
	env = layEnv(layEnv(base, merged), env)
	unset := o.UnsetEnv
	if o.UnsetEnvAll {
		image, unset = nil, append(slices.Clone(unset), "PATH", "HOSTNAME", "TERM")
	}
	for _, key := range unset {
		if key == "" || strings.Contains(key, "=") {
			return nil, fmt.Errorf("unsetting environment variable %q: no such name", key)
		}
		if !slices.ContainsFunc(env, func(have string) bool { return envKey(have) == key }) {
			env = append(env, key)
		}
	}
	return imageEnv(env, image), nil
}

// proxyVariables are those that --http-proxy takes over.
var proxyVariables = []string{"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"}

func proxyEnv(caller lookup) (env []string) {
	for _, key := range proxyVariables {
		if value, ok := caller(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// mergeEnv expands ${NAME} in the values of --env-merge by the image's variables.
func mergeEnv(pairs, image []string) ([]string, error) {
	var all []string
	for _, pair := range pairs {
		key, value, given := strings.Cut(pair, "=")
		if key == "" || !given {
			return nil, fmt.Errorf("parsing --env-merge %q: not KEY=VALUE", pair)
		}
		all = append(all, key+"="+os.Expand(value, func(name string) string {
			for _, have := range image {
				if envKey(have) == name {
					_, value, _ := strings.Cut(have, "=")
					return value
				}
			}
			return ""
		}))
	}
	return all, nil
}

// layEnv lays env over base, keeping bare KEYs, which say what to remove.
func layEnv(base, env []string) []string {
	kept := slices.DeleteFunc(slices.Clone(base), func(pair string) bool {
		return slices.ContainsFunc(env, func(have string) bool { return envKey(have) == envKey(pair) })
	})
	return append(kept, env...)
}

func envKey(pair string) string {
	key, _, _ := strings.Cut(pair, "=")
	return key
}
