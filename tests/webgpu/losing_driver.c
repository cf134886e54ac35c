/* A Vulkan driver that passes everything on to the one named in VK_WRAPPED_DRIVER, and whose queue is lost while the
   file named in VK_LOST_WHILE exists. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void (*Function)(void);
typedef Function (*Get)(void *, const char *);
enum { DEVICE_LOST = -4 };

static void *driver(void) {
  static void *handle;
  if (!handle) handle = dlopen(getenv("VK_WRAPPED_DRIVER"), RTLD_NOW | RTLD_LOCAL);
  return handle;
}

static int lost(void) { return access(getenv("VK_LOST_WHILE"), F_OK) == 0; }

static Get next_device;
static int (*submit)(void *, unsigned, const void *, void *);

static int submitting(void *queue, unsigned count, const void *submits, void *fence) {
  return lost() ? DEVICE_LOST : submit(queue, count, submits, fence);
}

static Function of_device(void *device, const char *name) {
  Function found = next_device(device, name);
  if (found && !strcmp(name, "vkQueueSubmit")) {
    submit = (int (*)(void *, unsigned, const void *, void *))found;
    return (Function)submitting;
  }
  return found;
}

Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
  Function found = ((Get)dlsym(driver(), "vk_icdGetInstanceProcAddr"))(instance, name);
  if (found && !strcmp(name, "vkGetDeviceProcAddr")) {
    next_device = (Get)found;
    return (Function)of_device;
  }
  return found;
}

Function vk_icdGetPhysicalDeviceProcAddr(void *instance, const char *name) {
  Get get = (Get)dlsym(driver(), "vk_icdGetPhysicalDeviceProcAddr");
  return get ? get(instance, name) : 0;
}

int vk_icdNegotiateLoaderICDInterfaceVersion(unsigned *version) {
  return ((int (*)(unsigned *))dlsym(driver(), "vk_icdNegotiateLoaderICDInterfaceVersion"))(version);
}
