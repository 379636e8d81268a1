package confine

import (
	"fmt"
	"os"

	"github.com/landlock-lsm/go-landlock/landlock"
	abi "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// The versions of landlock's interface that brought what Limit asks for.
const (
	filesSince = 1 // Linux 5.13
	portsSince = 4 // Linux 6.7
)

// Limit leaves the files and ports of a to the process, and no others. It binds to
// no port any more. The first error is of the files, the second of the ports:
// older kernels know rules for files only.
func Limit(a Access) (files, ports error) {
	version, err := abi.LandlockGetABIVersion()
	if err != nil || version < filesSince {
		err = fmt.Errorf("%w: landlock is missing or switched off in this kernel", ErrUnsupported)
		return err, err
	}
	if version < portsSince {
		ports = fmt.Errorf("%w: landlock has rules for ports since Linux 6.7", ErrUnsupported)
	}
	rules := a.rules()
	for _, port := range a.Connect {
		rules = append(rules, landlock.ConnectTCP(port))
	}
	// V5 also covers ioctl on devices. What later versions cover could not be tried
	// where this was written; they are to be taken one by one.
	if err := landlock.V5.BestEffort().Restrict(rules...); err != nil {
		return err, err
	}
	return nil, ports
}

// rules allows what exists: landlock ties a rule to the file, not to its name.
func (a Access) rules() []landlock.Rule {
	var rules []landlock.Rule
	add := func(paths []string, dir, file func(...string) landlock.FSRule) {
		for _, path := range paths {
			switch info, err := os.Stat(path); {
			case err != nil: // missing, or not ours to see
			case info.IsDir():
				rules = append(rules, dir(path))
			default:
				rules = append(rules, file(path))
			}
		}
	}
	add(a.Write, landlock.RWDirs, landlock.RWFiles)
	add(a.Read, landlock.RODirs, landlock.ROFiles)
	add(a.Devices,
		func(p ...string) landlock.FSRule { return landlock.RWDirs(p...).WithIoctlDev() },
		func(p ...string) landlock.FSRule { return landlock.RWFiles(p...).WithIoctlDev() })
	return rules
}
