package oci

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/oci/push"
)

// The types of a runtime-spec config reach far: the first use of one costs
// encoding/json half a millisecond and a quarter of a megabyte for fields of
// other platforms, cgroups and seccomp rules, which most configs do not have. So
// a config is written and read without them; what is rare is seen by the reader and then
// done the long way.

// EncodeSpec is json.Marshal for a config.
func EncodeSpec(s *specs.Spec) ([]byte, error) { return push.JSON(s) }

// DecodeSpec is json.Unmarshal for a config, quick for what skiff makes itself.
func DecodeSpec(data []byte) (*specs.Spec, error) {
	if s := quickSpec(data); s != nil {
		return s, nil
	}
	s := new(specs.Spec)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("parsing the OCI config: %w", err)
	}
	return s, nil
}
