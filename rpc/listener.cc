#include "rpc/listener.h"
