package main

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

// silent is a container manager without cgroups: it answers nothing.
type silent struct{ cm.PodContainerManager }

func (silent) GetPodCgroupConfig(*v1.Pod, v1.ResourceName) (*cm.ResourceConfig, error) {
	return nil, nil
}

func pod(limits v1.ResourceList) *v1.Pod {
	resources := v1.ResourceRequirements{Limits: limits, Requests: limits}
	return &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{{Name: "main", Resources: resources}}}}
}

// The kubelet reads these through pointers, for the status of every running pod and for every resize.
func TestEveryValueIsThere(t *testing.T) {
	limits := v1.ResourceList{v1.ResourceCPU: resource.MustParse("150m"), v1.ResourceMemory: resource.MustParse("64Mi")}
	for name, found := range map[string]*v1.Pod{"best effort": pod(nil), "guaranteed": pod(limits)} {
		manager := podContainerManager{silent{}}
		memory, err := manager.GetPodCgroupConfig(found, v1.ResourceMemory)
		if err != nil || memory.Memory == nil {
			t.Fatalf("%s: memory %+v, %v", name, memory, err)
		}
		cpu, err := manager.GetPodCgroupConfig(found, v1.ResourceCPU)
		if err != nil || cpu.CPUShares == nil || cpu.CPUQuota == nil || cpu.CPUPeriod == nil {
			t.Fatalf("%s: cpu %+v, %v", name, cpu, err)
		}
		cm.MemoryLimitsFromConfig(memory)
		cm.CPULimitsFromConfig(cpu)
		cm.CPURequestsFromConfig(cpu)
	}
}
