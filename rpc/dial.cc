#include "rpc/dial.h"
