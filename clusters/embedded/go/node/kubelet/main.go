// Kubernetes' kubelet for a node without cgroups of its own.
//
// It differs from cmd/kubelet in one thing: with cgroupsPerQOS switched off the original answers "no configuration" when it is
// asked for a pod's cgroup, and then reads through that nil pointer as soon as a pod is resized in place, at every start again.
// Here the answer is what the pod's own specification says.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/cli"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/component-base/version/verflag"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	utilfs "k8s.io/kubernetes/pkg/util/filesystem"
)

func main() {
	flags := options.NewKubeletFlags()
	command := &cobra.Command{
		Use:           "kubelet",
		SilenceUsage:  true,
		SilenceErrors: false,
		Args:          cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			verflag.PrintAndExitIfRequested()
			return run(genericapiserver.SetupSignalContext(), flags)
		},
	}
	set := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	flags.AddFlags(set)
	options.AddGlobalFlags(set)
	command.Flags().AddFlagSet(set)
	os.Exit(cli.Run(command))
}

// run is what the original does between its flags and app.Run, without the configuration by flags that this node does not use.
func run(ctx context.Context, flags *options.KubeletFlags) error {
	configuration, err := load(ctx, flags.KubeletConfigFile)
	if err != nil {
		return fmt.Errorf("expected a KubeletConfiguration in %q (--config): %w", flags.KubeletConfigFile, err)
	}
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(configuration.FeatureGates); err != nil {
		return err
	}
	if err := logsapi.ValidateAndApply(&configuration.Logging, utilfeature.DefaultFeatureGate); err != nil {
		return err
	}
	if err := validation.ValidateKubeletConfiguration(configuration, utilfeature.DefaultFeatureGate); err != nil {
		return err
	}
	server := &options.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *configuration}
	dependencies, err := app.UnsecuredDependencies(ctx, server, utilfeature.DefaultFeatureGate)
	if err != nil {
		return err
	}
	answerForPodsWithoutCgroups(dependencies)
	return app.Run(ctx, server, dependencies, utilfeature.DefaultFeatureGate)
}

func load(ctx context.Context, path string) (*kubeletconfig.KubeletConfiguration, error) {
	loader, err := configfiles.NewFsLoader(&utilfs.DefaultFs{}, path)
	if err != nil {
		return nil, err
	}
	return loader.Load(ctx)
}

// answerForPodsWithoutCgroups wraps the container manager. The kubelet makes it while it starts and takes no wrapper for it; the
// first thing that it does afterwards is to set its own OOM score, so that is where the wrapper is put around it.
func answerForPodsWithoutCgroups(dependencies *kubelet.Dependencies) {
	apply := dependencies.OOMAdjuster.ApplyOOMScoreAdj
	dependencies.OOMAdjuster.ApplyOOMScoreAdj = func(pid, score int) error {
		if _, done := dependencies.ContainerManager.(containerManager); !done {
			dependencies.ContainerManager = containerManager{dependencies.ContainerManager}
		}
		return apply(pid, score)
	}
}
