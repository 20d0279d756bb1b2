package run

import (
	"fmt"
	"time"

	"github.com/skiff-containers/skiff/store"
)

// SecretCreateOptions say what a new secret is.
type SecretCreateOptions struct {
	Name    string
	Data    []byte
	Labels  []string
	Replace bool // one that has the name
}

// SecretCreate keeps a secret and returns its id.
func (e *Engine) SecretCreate(o *SecretCreateOptions) (id string, err error) {
	defer e.tidy()()
	switch {
	case o.Name == "" || !store.ValidName(o.Name) || len(o.Name) > 253:
		return "", fmt.Errorf("invalid secret name %q: letters, digits and _.-, a letter or digit first", o.Name)
	case len(o.Data) == 0 || len(o.Data) > store.MaxSecret:
		return "", fmt.Errorf("creating secret %q: it has %d bytes, and may have 1 to %d", o.Name, len(o.Data), store.MaxSecret)
	}
	labels, err := parseLabels(nil, o.Labels, nil)
	if err != nil {
		return "", err
	}
	now := time.Now().UTC()
	secret := &store.StoredSecret{ID: store.NewID()[:25], Name: o.Name, Created: now, Updated: now, Labels: labels, Data: o.Data}
	if err := e.Store.PutSecret(secret, o.Replace); err != nil {
		return "", err
	}
	return secret.ID, nil
}

// SecretInspect is a secret as `secret inspect` prints it: podman's object.
type SecretInspect struct {
	ID         string
	CreatedAt  time.Time
	UpdatedAt  time.Time
	Spec       SecretSpec
	SecretData string `json:",omitempty"`
}

// SecretSpec is what was asked for.
type SecretSpec struct {
	Name   string
	Driver struct {
		Name    string // "file"
		Options map[string]string
	}
	Labels map[string]string
}

// SecretInspect describes a secret; what it says only with show. It wraps
// store.ErrNoSecret.
func (e *Engine) SecretInspect(ref string, show bool) (*SecretInspect, error) {
	secret, err := e.Store.Secret(ref)
	if err != nil {
		return nil, err
	}
	i := inspectSecret(secret)
	if show {
		i.SecretData = string(secret.Data)
	}
	return i, nil
}

func inspectSecret(secret *store.StoredSecret) *SecretInspect {
	i := &SecretInspect{ID: secret.ID, CreatedAt: secret.Created, UpdatedAt: secret.Updated, Spec: SecretSpec{Name: secret.Name, Labels: secret.Labels}}
	i.Spec.Driver.Name, i.Spec.Driver.Options = "file", map[string]string{}
	if i.Spec.Labels == nil {
		i.Spec.Labels = map[string]string{}
	}
	return i
}

// Secrets lists all secrets by name, without what they say.
func (e *Engine) Secrets() ([]*SecretInspect, error) {
	all, err := e.Store.Secrets()
	if err != nil {
		return nil, err
	}
	var found []*SecretInspect
	for _, secret := range all {
		found = append(found, inspectSecret(secret))
	}
	return found, nil
}

// SecretRemove deletes a secret and returns its id. It wraps store.ErrNoSecret.
func (e *Engine) SecretRemove(ref string) (id string, err error) {
	defer e.tidy()()
	return e.Store.RemoveSecret(ref)
}
