package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// settingsMember is the member of Claims.Config that a policy speaks of.
//
// Claims.Config is a JSON object. Its member "settings" is an object of all that
// the program was told: the same for each run with the same flags, so a policy can
// and must know all of it beforehand. Every other member is a statement of this one
// piece of evidence, such as a key that was drawn for this run: no policy can know
// it. A policy has no list of settings that it leaves open, because whoever writes
// such a list opens what he did not think of. A statement is refused as well, unless
// the program that asks names it, as one that it reads and judges by itself.
const settingsMember = "settings"

// JudgeClaims is Judge of evidence with its claims. It computes what the evidence
// must be bound to, and holds the configuration document against the policy's
// settings: each must be named and equal. The names of statements in the document
// that the caller reads are given; any other refuses.
//
// Evidence without a document is accepted only by a policy without settings.
func (p Policy) JudgeClaims(r Result, c Claims, nonce Nonce, exporter []byte, reads ...string) error {
	return refusal(p.judge(r, c.ReportData(nonce, exporter)), p.judgeDocument(c.Config, reads))
}

// judgeUnseen refuses where the policy has settings and nobody has shown any.
func (p Policy) judgeUnseen() []Reason {
	if len(p.Settings) == 0 {
		return nil
	}
	return because(CodeSettings, "the policy says what %d settings must be, and the claims that show them were not judged: give the nonce of the evidence", len(p.Settings))
}

func (p Policy) judgeDocument(text []byte, reads []string) (reasons []Reason) {
	if len(text) == 0 && len(p.Settings) == 0 {
		return nil
	}
	document, err := parseObject(text)
	if err != nil {
		return because(CodeSettings, "the configuration is no document that can be judged: %v", err)
	}
	for _, name := range names(document) {
		if name != settingsMember && !slices.Contains(reads, name) {
			reasons = append(reasons, because(CodeSettings, "the configuration states %.64q, which nobody here has judged: take a release that knows it", name)...)
		}
	}
	settings, err := parseObject(document[settingsMember])
	if err != nil {
		return append(reasons, because(CodeSettings, "the configuration's settings cannot be judged: %v", err)...)
	}
	return append(reasons, p.judgeSettings(settings)...)
}

func (p Policy) judgeSettings(settings map[string]json.RawMessage) (reasons []Reason) {
	for _, name := range names(settings) {
		want, named := p.Settings[name]
		switch same, err := equalJSON(settings[name], want); {
		case !named:
			reasons = append(reasons, because(CodeSettings, "setting %.64q is %.256s, and the policy does not say what it must be", name, settings[name])...)
		case err != nil:
			reasons = append(reasons, because(CodeSettings, "setting %.64q cannot be compared: %v", name, err)...)
		case !same:
			reasons = append(reasons, because(CodeSettings, "setting %.64q is %.256s, the policy wants %.256s: the signer was started with other flags, or on another folder", name, settings[name], want)...)
		}
	}
	for _, name := range names(p.Settings) {
		if _, ok := settings[name]; !ok {
			reasons = append(reasons, because(CodeSettings, "the policy asks for setting %.64q, which the signer does not have", name)...)
		}
	}
	return reasons
}

// parseObject reads one JSON object strictly: no member comes twice, whatever its
// case.
func parseObject(text []byte) (map[string]json.RawMessage, error) {
	if len(text) == 0 {
		return nil, errors.New("there is none")
	}
	var members map[string]json.RawMessage
	if err := unmarshalStrict(text, &members); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, errors.New("want an object, got null")
	}
	return members, nil
}

// equalJSON tells whether two texts are the same value for every reader. White
// space, the order of members and how a character is escaped make no difference.
// Numbers are equal only if they are written alike: 1, 1.0 and 1e0 are one number to
// some readers, and 9007199254740993 is another one to readers of doubles.
func equalJSON(a, b []byte) (bool, error) {
	x, err := exactValue(a)
	if err != nil {
		return false, err
	}
	y, err := exactValue(b)
	if err != nil {
		return false, err
	}
	return reflect.DeepEqual(x, y), nil
}

func exactValue(text []byte) (any, error) {
	var raw json.RawMessage
	if err := unmarshalStrict(text, &raw); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, refuseReplaced(v)
}

// refuseReplaced refuses strings with U+FFFD: encoding/json puts it where it finds
// what is no character, so that different texts would be equal.
func refuseReplaced(v any) error {
	switch v := v.(type) {
	case string:
		if strings.ContainsRune(v, '\uFFFD') {
			return fmt.Errorf("%.64q holds what is no character", v)
		}
	case []any:
		for _, e := range v {
			if err := refuseReplaced(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, e := range v {
			if err := errors.Join(refuseReplaced(name), refuseReplaced(e)); err != nil {
				return err
			}
		}
	}
	return nil
}
