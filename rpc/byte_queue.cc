#include "rpc/byte_queue.h"
