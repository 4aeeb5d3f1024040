package main

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

// cpuPeriod is the kernel's default for a CPU quota, in microseconds; resizes only compare values made with the same one.
const cpuPeriod = uint64(100000)

// unlimited is how a cgroup writes that there is no limit.
const unlimited = int64(-1)

type containerManager struct{ cm.ContainerManager }

func (m containerManager) NewPodContainerManager() cm.PodContainerManager {
	return podContainerManager{m.ContainerManager.NewPodContainerManager()}
}

type podContainerManager struct{ cm.PodContainerManager }

// GetPodCgroupConfig never answers nil without an error: a resize reads every value of the resource that it asks for.
func (m podContainerManager) GetPodCgroupConfig(pod *v1.Pod, resource v1.ResourceName) (*cm.ResourceConfig, error) {
	found, err := m.PodContainerManager.GetPodCgroupConfig(pod, resource)
	if found != nil || err != nil {
		return found, err
	}
	specified := cm.ResourceConfigForPod(pod, true, cpuPeriod, false, "")
	if resource == v1.ResourceMemory {
		return &cm.ResourceConfig{Memory: orUnlimited(specified.Memory)}, nil
	}
	// A pod without a limit has a quota and a period, too: the kubelet reads both for every pod's status.
	period := cpuPeriod
	return &cm.ResourceConfig{CPUShares: specified.CPUShares, CPUQuota: orUnlimited(specified.CPUQuota), CPUPeriod: &period}, nil
}

func orUnlimited(value *int64) *int64 {
	if value != nil {
		return value
	}
	none := unlimited
	return &none
}
