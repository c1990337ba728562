#include "rpc/convert.h"
