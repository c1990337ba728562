#include "rpc/address.h"
