#include "migration/settings.hpp"
