/* The types that VapourSynth's VSVulkan4.h names, so that building needs no Vulkan SDK.
 *
 * generate.py writes this as vulkan/vulkan_core.h beside the file it makes, followed by a pointer type for every
 * function in VapourSynth's table (PFN_vk...); those that the plugin calls are declared in full here. The types are
 * those of the Vulkan specification on a 64-bit platform, where every handle is a pointer. */

#ifndef VULKAN_CORE_H_
#define VULKAN_CORE_H_ 1

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define VKAPI_PTR __stdcall
#else
#define VKAPI_PTR
#endif

#define VK_API_VERSION_1_4 ((1u << 22) | (4u << 12))
#define VK_UUID_SIZE 16u
#define VK_LUID_SIZE 8u

typedef uint32_t VkFlags;
typedef uint64_t VkDeviceSize;
typedef uint64_t VkDeviceAddress;
typedef VkFlags VkBufferUsageFlags;
typedef VkFlags VkMemoryPropertyFlags;
typedef int32_t VkResult; /* an enumeration in the specification, of the same size and values */

typedef struct VkInstance_T *VkInstance;
typedef struct VkPhysicalDevice_T *VkPhysicalDevice;
typedef struct VkDevice_T *VkDevice;
typedef struct VkCommandBuffer_T *VkCommandBuffer;
typedef struct VkBuffer_T *VkBuffer;
typedef struct VkDeviceMemory_T *VkDeviceMemory;
typedef struct VkSemaphore_T *VkSemaphore;

typedef char VkHandlesArePointers[sizeof(void *) == 8 ? 1 : -1];

typedef struct VkMemoryRequirements {
    VkDeviceSize size;
    VkDeviceSize alignment;
    uint32_t memoryTypeBits;
} VkMemoryRequirements;

typedef void(VKAPI_PTR *PFN_vkVoidFunction)(void);
typedef PFN_vkVoidFunction(VKAPI_PTR *PFN_vkGetInstanceProcAddr)(VkInstance instance, const char *name);
typedef VkResult(VKAPI_PTR *PFN_vkGetSemaphoreCounterValue)(VkDevice device, VkSemaphore semaphore, uint64_t *value);

#endif
