// The same with pybind11. It is built twice: RELEASES decides whether calls let go of the
// interpreter's lock, and MODULE is the module's name.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <utility>

#include "gcd.h"

namespace py = pybind11;

#if RELEASES
using Lock = py::call_guard<py::gil_scoped_release>;
#else
using Lock = py::call_guard<>;
#endif

PYBIND11_MODULE(MODULE, module)
{
    module.def(
        "gcd", [](std::pair<long long, long long> pair) { return gcd(pair.first, pair.second); },
        Lock());
    module.def("meet", &meet, Lock());
}
