#include "rpc/uv_event_port.h"
