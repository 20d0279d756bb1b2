package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// certificateFolders are where docker and podman look for what belongs to a host
// (containers-certs.d(5)), the user's own first.
func certificateFolders(host string) []string {
	var folders []string
	if config, err := os.UserConfigDir(); err == nil {
		folders = append(folders, filepath.Join(config, "containers/certs.d", host), filepath.Join(config, "docker/certs.d", host))
	}
	return append(folders, filepath.Join("/etc/containers/certs.d", host), filepath.Join("/etc/docker/certs.d", host))
}

// addCertificates adds the authorities (*.crt) and client certificates (*.cert
// with *.key) that are kept for host.
func addCertificates(config *tls.Config, host string) error {
	for _, folder := range certificateFolders(host) {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading certificates: %w", err)
		}
		for _, e := range entries {
			if err := addCertificate(config, filepath.Join(folder, e.Name())); err != nil {
				return fmt.Errorf("reading certificates: %w", err)
			}
		}
	}
	return nil
}

func addCertificate(config *tls.Config, path string) error {
	switch filepath.Ext(path) {
	case ".crt":
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if config.RootCAs == nil {
			if config.RootCAs, err = x509.SystemCertPool(); err != nil {
				return err
			}
		}
		if !config.RootCAs.AppendCertsFromPEM(data) {
			return fmt.Errorf("%s holds no certificate", path)
		}
	case ".cert":
		pair, err := tls.LoadX509KeyPair(path, strings.TrimSuffix(path, ".cert")+".key")
		if err != nil {
			return err
		}
		config.Certificates = append(config.Certificates, pair)
	}
	return nil
}
