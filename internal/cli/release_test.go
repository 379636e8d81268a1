package cli

import "testing"

func TestAReleaseIsToldByItsVersion(t *testing.T) {
	for version, want := range map[string]bool{
		"v0.1.0": true, "v1.22.333": true, "v1.0.0-rc.1": true, "v1.0.0-beta2": true,
		"": false, "(devel)": false, "v1.0": false, "1.0.0": false, "v1.0.0+dirty": false, "v01.0.0": false,
		"v0.0.0-20261125174316-31bcd8045890": false, "v0.1.1-0.20261125174316-31bcd8045890": false,
		"v0.1.1-0.20261125174316-31bcd8045890+dirty": false, "v1.0.0-rc.1.0.20261125174316-31bcd8045890": false,
	} {
		if got := isTag(version); got != want {
			t.Errorf("%q: %t, want %t", version, got, want)
		}
	}
	if IsRelease() {
		t.Error("what is built from a folder is taken for a release")
	}
}
